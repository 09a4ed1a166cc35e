// A loop with a tick, a deadline and work, as programs have it.
package main

import (
	"fmt"
	"time"
)

func main() {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	work := make(chan int)
	go func() {
		for i := range 3 {
			work <- i
		}
	}()
	deadline := time.NewTimer(time.Hour)
	ticks, jobs := 0, 0
	for ticks < 4 {
		select {
		case <-tick.C:
			ticks++
			if ticks == 3 {
				deadline.Reset(time.Millisecond)
			}
		case job := <-work:
			jobs += job
		case <-deadline.C:
			fmt.Println("deadline, jobs", jobs)
			deadline.Stop()
		}
	}
	fmt.Println("ticks", ticks)
}
