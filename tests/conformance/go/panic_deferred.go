// The panic comes from what a goroutine deferred, after its function has returned.
package main

import "fmt"

func clean() {
	fmt.Println("cleaning up")
	panic("RuntimeError: the cleaning failed")
}

func work() {
	defer clean()
	fmt.Println("working")
}

func main() {
	go work()
	select {}
}
