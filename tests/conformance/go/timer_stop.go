// Stop tells whether it was in time; afterwards no value comes, not even one that was due.
package main

import (
	"fmt"
	"time"
)

func received(ch <-chan time.Time) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func main() {
	t := time.NewTimer(time.Hour)
	fmt.Println("stop", t.Stop(), "again", t.Stop(), "received", received(t.C))

	due := time.NewTimer(0)
	time.Sleep(2 * time.Millisecond)
	fmt.Println("due: stop", due.Stop(), "received", received(due.C))

	taken := time.NewTimer(time.Millisecond)
	<-taken.C
	fmt.Println("taken: stop", taken.Stop(), "received", received(taken.C))
	fmt.Println("len", len(due.C), "cap", cap(due.C))

	ran := make(chan string)
	f := time.AfterFunc(time.Hour, func() { ran <- "not reached" })
	fmt.Println("func: stop", f.Stop(), "again", f.Stop())
	g := time.AfterFunc(time.Millisecond, func() { ran <- "ran" })
	fmt.Println(<-ran)
	fmt.Println("func: stop after", g.Stop())
}
