// Package storm sends the same request many times at once, and many requests at the same money, and counts the effects.
//
// The platform is the real binary, spoken to over REST and killed between and within the storms. What it acknowledges is
// written down and judged as package chaos does.
package storm
