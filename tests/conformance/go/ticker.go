// Ticks come in time, those that nobody takes are dropped; reset, stop, and a bad interval.
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
	start := time.Now()
	t := time.NewTicker(2 * time.Millisecond)
	for range 5 {
		<-t.C
	}
	fmt.Println("not before", time.Since(start) >= 10*time.Millisecond)

	time.Sleep(20 * time.Millisecond)
	fmt.Println("kept", received(t.C))

	t.Reset(time.Hour)
	fmt.Println("after reset", received(t.C))
	t.Reset(time.Millisecond)
	<-t.C
	t.Stop()
	time.Sleep(3 * time.Millisecond)
	fmt.Println("after stop", received(t.C))
	t.Reset(time.Millisecond)
	<-t.C
	fmt.Println("started again")
	t.Stop()

	for _, d := range []time.Duration{0, -1} {
		func() {
			defer func() { fmt.Println("recovered:", recover()) }()
			time.NewTicker(d)
		}()
	}
}
