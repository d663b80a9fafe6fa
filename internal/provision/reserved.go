package provision

import "strings"

// reservedWords are the words that PostgreSQL reserves. RDS takes them neither as the name of
// a database nor of its user: "Can't be a word reserved by the specified database engine". It
// lists no words, and reserves more; see reservedDatabase.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
// https://www.postgresql.org/docs/17/sql-keywords-appendix.html
const reservedWords = " admin all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create " +
	"current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else end except " +
	"false fetch for foreign from grant group having in initially intersect into lateral leading limit localtime localtimestamp not null offset " +
	"on only or order placing primary references returning select session_user some symmetric system_user table then to trailing true union " +
	"unique user using variadic when where window with "

// reservedDatabase are further words that RDS has refused as the name of a database, as people
// have posted.
var reservedDatabase = map[string]bool{"catalog": true, "comments": true, "dispatch": true, "flag": true}

// reservedUser are names that PostgreSQL keeps from roles.
// https://www.postgresql.org/docs/17/sql-createrole.html
var reservedUser = map[string]bool{"none": true, "public": true}

// reservedName reports whether RDS takes a name neither for a database nor for its user.
func reservedName(name string) bool {
	return strings.Contains(reservedWords, " "+strings.ToLower(name)+" ")
}
