package kernel

import (
	"crypto/rand"
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
