package kernel

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
)

// Characters of random texts.
const (
	Letters     = "abcdefghijklmnopqrstuvwxyz"
	Capitals    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Digits      = "0123456789"
	Punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// RandomText returns a text of n random characters from of.
func RandomText(n int, of string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = of[RandomBelow(len(of))]
	}
	return string(b)
}

// RandomBelow returns a random number from 0 to n-1.
func RandomBelow(n int) int {
	x, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil { // never: https://pkg.go.dev/crypto/rand#Read
		panic(err)
	}
	return int(x.Int64())
}

// NewID returns a new id in the format of EC2: the prefix, a hyphen and 17 hexadecimal
// digits.
func NewID(prefix string) string { return prefix + "-0" + HexDigits(16) }

// HexDigits returns n random hexadecimal digits; n is even.
func HexDigits(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.Read(b) // never fails: https://pkg.go.dev/crypto/rand#Read
	return hex.EncodeToString(b)
}

// UUID returns random hexadecimal digits in the format of a UUID.
func UUID() string {
	h := HexDigits(32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// RequestID returns a new request id in AWS's format: a version 4 UUID.
func RequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
