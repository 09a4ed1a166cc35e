// Main fails: what it deferred runs, and the process ends.
package main

import "fmt"

func fail() {
	defer fmt.Println("deferred in fail")
	panic("ValueError: no good")
}

func main() {
	defer fmt.Println("deferred in main")
	fail()
	fmt.Println("not reached")
}
