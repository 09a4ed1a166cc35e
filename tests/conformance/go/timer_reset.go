// Reset: before its time, when it is due, after it was taken, and after stop.
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
	fmt.Println("active", t.Reset(time.Millisecond))
	<-t.C
	fmt.Println("taken", t.Reset(time.Hour), "received", received(t.C))
	fmt.Println("stop", t.Stop())
	fmt.Println("stopped", t.Reset(0))
	time.Sleep(2 * time.Millisecond)
	fmt.Println("due", t.Reset(time.Hour), "received", received(t.C))
	fmt.Println("shortened", t.Reset(time.Millisecond))
	<-t.C

	// Resets in a row: one value, after the last.
	for range 10 {
		t.Reset(time.Millisecond)
	}
	start := time.Now()
	t.Reset(5 * time.Millisecond)
	<-t.C
	fmt.Println("not before", time.Since(start) >= 5*time.Millisecond, "another", received(t.C))

	count := make(chan int, 10)
	n := 0
	f := time.AfterFunc(time.Hour, func() {
		n++
		count <- n
	})
	for range 3 {
		f.Reset(0)
		fmt.Println("call", <-count)
	}
}
