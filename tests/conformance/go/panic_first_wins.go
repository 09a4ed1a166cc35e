// Two goroutines are about to fail: the first is reported, and nothing else happens.
package main

import "fmt"

func fail(name string) {
	fmt.Println(name)
	panic("ValueError: " + name)
}

func main() {
	go fail("second") // the goroutine started last runs first
	go fail("first")
	select {}
}
