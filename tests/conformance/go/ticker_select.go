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
	ticks, jobs, late := 0, 0, false
	for !late || jobs < 3 {
		select {
		case <-tick.C:
			ticks++
			if ticks == 3 {
				tick.Stop()
				deadline.Reset(time.Millisecond)
			}
		case job := <-work:
			jobs++
			fmt.Println("job", job)
		case <-deadline.C:
			late = true
		}
	}
	fmt.Println("ticks", ticks, "jobs", jobs, "late", late)
}
