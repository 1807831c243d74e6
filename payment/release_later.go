//go:build later

package payment

const later = 1
