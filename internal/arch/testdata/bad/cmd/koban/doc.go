// Package main says nothing about the command, which is what is wrong with it.
package main // want charter
