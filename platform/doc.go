// Package platform assembles a process of the platform: it opens the stores and the books, builds the services over them, lets
// them know each other, opens the door, and takes all of it down again.
//
// Wiring is by hand and read from top to bottom: catalog.go says which services there are, stores.go opens what they
// stand on, services.go builds each of them, door.go binds them to the gateway. platform.go holds the two use cases that
// span services. No other package knows that the services run in one process.
package platform
