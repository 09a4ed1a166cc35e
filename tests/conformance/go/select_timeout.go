// A slow answer and a fast one against a timeout, and one deadline for a whole loop.
package main

import (
	"fmt"
	"time"
)

func answer(text string, after time.Duration) <-chan string {
	ch := make(chan string, 1) // room for an answer that nobody waits for any more
	go func() {
		time.Sleep(after)
		ch <- text
	}()
	return ch
}

func ask(text string, after, patience time.Duration) {
	select {
	case v := <-answer(text, after):
		fmt.Println("answer:", v)
	case <-time.After(patience):
		fmt.Println("timeout:", text)
	}
}

func main() {
	ask("fast", time.Millisecond, time.Hour)
	ask("slow", time.Hour, 5*time.Millisecond)
	ask("at once", 0, time.Hour)

	ch := make(chan int)
	go func() {
		for i := range 5 {
			ch <- i
		}
	}()
	deadline := time.After(200 * time.Millisecond)
	for {
		select {
		case v := <-ch:
			fmt.Println("value", v)
			continue
		case <-deadline:
			fmt.Println("the loop's time is up")
		}
		break
	}
	select {
	case <-time.After(-time.Second):
		fmt.Println("a time that has passed")
	}
}
