// Goexit, and then what was deferred fails.
package main

import "runtime"

func clean() {
	panic("RuntimeError: while leaving")
}

func work() {
	defer func() {
		clean()
	}()
	runtime.Goexit()
}

func main() {
	go work()
	select {}
}
