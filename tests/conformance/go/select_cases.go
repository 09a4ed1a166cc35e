// Which case a select takes: a ready one, any ready one, the default, never that of no channel.
package main

import (
	"fmt"
	"time"
)

func main() {
	a, b := make(chan string, 1), make(chan string, 1)
	var none chan string

	select {
	case v := <-a:
		fmt.Println("a", v)
	case none <- "x":
		fmt.Println("none")
	default:
		fmt.Println("default")
	}

	b <- "value"
	select {
	case v := <-a:
		fmt.Println("a", v)
	case v := <-b:
		fmt.Println("b", v)
	case <-none:
		fmt.Println("none")
	}

	var took [2]bool
	for range 200 {
		a <- ""
		b <- ""
		select {
		case <-a:
			took[0] = true
			<-b
		case <-b:
			took[1] = true
			<-a
		}
	}
	fmt.Println("both taken:", took[0] && took[1])

	close(a)
	select {
	case v, ok := <-a:
		fmt.Println("closed:", v == "", ok)
	case <-none:
		fmt.Println("none")
	}

	select {
	case <-b:
		fmt.Println("b")
	case <-time.After(time.Millisecond):
		fmt.Println("timeout")
	}
}
