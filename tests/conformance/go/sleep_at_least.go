// Nobody wakes before its time, however many sleep at once.
package main

import (
	"fmt"
	"slices"
	"time"
)

func main() {
	out := make(chan string)
	for _, n := range []int{5, 1, 4, 2, 3} {
		go func() {
			d := time.Duration(n) * 3 * time.Millisecond
			began := time.Now()
			time.Sleep(d)
			out <- fmt.Sprint(n, " ", time.Since(began) >= d)
		}()
	}
	var all []string
	for range 5 {
		all = append(all, <-out)
	}
	slices.Sort(all)
	for _, line := range all {
		fmt.Println(line)
	}
	time.Sleep(0)
	time.Sleep(-time.Hour)
	fmt.Println("no wait at all")
}
