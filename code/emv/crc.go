package emv

// crcTable holds the remainders of the polynomial 0x1021 for every byte.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		r := uint16(i) << 8
		for range 8 {
			if r&0x8000 != 0 {
				r = r<<1 ^ 0x1021
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}()

// CRC16 returns the CRC-16/CCITT-FALSE of b: polynomial 0x1021, initial value 0xFFFF, no reflection, no final xor. For a
// payload, b is its UTF-8 bytes from the start up to and including "6304" (EMV MPM §4.7.3).
func CRC16(b []byte) uint16 { return crc16(b) }

func crc16[T ~[]byte | ~string](b T) uint16 {
	r := uint16(0xFFFF)
	for i := range len(b) {
		r = r<<8 ^ crcTable[byte(r>>8)^b[i]]
	}
	return r
}

// crcText returns r as object 63 carries it: four upper-case hexadecimal digits.
func crcText(r uint16) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15]})
}
