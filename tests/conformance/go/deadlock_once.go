// The function of a Once that calls the same Once waits for itself.
package main

import "sync"

var once sync.Once

func nothing() {}

func again() {
	once.Do(nothing)
}

func main() {
	once.Do(again)
}
