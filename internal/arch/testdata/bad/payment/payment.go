package payment

// X is documented.
var X, Y int
