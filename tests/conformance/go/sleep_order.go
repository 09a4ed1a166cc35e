// Sleepers wake in the order of their times, whatever the order in which they began.
package main

import (
	"fmt"
	"time"
)

func main() {
	out := make(chan int)
	for _, n := range []int{5, 1, 4, 2, 3} {
		go func() {
			time.Sleep(time.Duration(n) * 20 * time.Millisecond)
			out <- n
		}()
	}
	for range 5 {
		fmt.Println(<-out)
	}
	time.Sleep(0)
	time.Sleep(-time.Hour)
	fmt.Println("no wait at all")
}
