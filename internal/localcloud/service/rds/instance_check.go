package rds

import (
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

var masterName = pattern.New(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// checkPassword has RDS's rules; its errors must not show the password.
func checkPassword(password string) error {
	switch {
	case len(password) < 8:
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters.")
	case len(password) > 128:
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password because it is longer than 128 characters.")
	case strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/@"`, r) }):
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")
	}
	return nil
}

func checkStorage(kind string, gib int32) error {
	if !slices.Contains([]string{"gp2", "gp3", "io1", "io2"}, kind) {
		return kernel.Fail("InvalidParameterValue", "Invalid storage type: %s", kind)
	}
	if gib < leastGiB || gib > mostGiB {
		return kernel.Fail("InvalidParameterValue", "Invalid storage size for engine name postgres and storage type %s: %d", kind, gib)
	}
	return nil
}

// stripedGiB is from where on gp3 storage is striped over four volumes, and has more
// IOPS and throughput: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
const stripedGiB = 400

// checkIOPS has the rules of gp3 in the words of RDS, for storage that gets the size.
// Named says that the request names IOPS or throughput, iops what it will have
// (hashicorp/terraform-provider-aws #28160, #28382, #28589, #33512).
func checkIOPS(kind string, gib int32, named bool, iops int32) error {
	if kind != "gp3" {
		return nil
	}
	least, _ := gp3Baseline(gib)
	switch {
	case gib < stripedGiB && named:
		return kernel.Fail("InvalidParameterCombination", "You can't specify IOPS or storage throughput for engine postgres and a storage size less than %d.", stripedGiB)
	case gib >= stripedGiB && iops < least:
		return kernel.Fail("InvalidParameterCombination", "Invalid iops value for engine name postgres and storage type gp3: %d", iops)
	}
	return nil
}

// withBaseline gives gp3 storage what it has by its size, where nothing else was
// asked for.
func (db *instance) withBaseline() {
	if db.StorageType != "gp3" {
		return
	}
	iops, throughput := gp3Baseline(db.Storage)
	db.IOPS, db.Throughput = max(db.IOPS, iops), max(db.Throughput, throughput)
}

// checkLimit has RDS's rule for the limit of growth, which is none where it is the
// size itself.
func checkLimit(limit, gib int32) error {
	if limit != 0 && limit != gib && int64(limit)*10 < int64(gib)*11 {
		return kernel.Fail("InvalidParameterCombination", "The maximum allocated storage must be increased by at least 10 percent.")
	}
	return nil
}

func checkBackups(days int32) error {
	if days < 0 || days > mostBackups {
		return kernel.Fail("InvalidParameterValue", "Invalid backup retention period: %d. Must be between 0 and %d.", days, mostBackups)
	}
	return nil
}

// value is *p, or the other value for nil.
func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// reserved reports whether RDS keeps a word from names. It publishes no list; people have
// posted that it refuses these.
func reserved(word string) bool {
	return slices.Contains([]string{"admin", "catalog", "comments", "current_user", "dispatch", "flag", "grant", "user"}, strings.ToLower(word))
}
