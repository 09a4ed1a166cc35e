// A function that a WaitGroup has started fails.
package main

import "sync"

func work() {
	panic("ValueError: in the group")
}

func main() {
	var wg sync.WaitGroup
	wg.Go(work)
	wg.Wait()
}
