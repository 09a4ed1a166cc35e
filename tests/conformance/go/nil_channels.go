// A case is switched off by making its channel nil: merge two until both are closed.
package main

import "fmt"

func send(ch chan int, values ...int) {
	for _, v := range values {
		ch <- v
	}
	close(ch)
}

func main() {
	a, b := make(chan int), make(chan int)
	go send(a, 1, 3, 5)
	go send(b, 2, 4, 6, 8)
	sum, left := 0, 7
	for a != nil || b != nil {
		select {
		case v, ok := <-a:
			if !ok {
				a = nil
				continue
			}
			sum += v
		case v, ok := <-b:
			if !ok {
				b = nil
				continue
			}
			sum += v
		}
		left--
	}
	fmt.Println(sum, left)

	// A queue without an end: sends only while there is something to send.
	in, out := make(chan int), make(chan int)
	go send(in, 10, 20, 30)
	done := make(chan bool)
	go func() {
		for v := range out {
			fmt.Println("out", v)
		}
		close(done)
	}()
	var queue []int
	for in != nil || len(queue) > 0 {
		var to chan int
		var first int
		if len(queue) > 0 {
			to, first = out, queue[0]
		}
		select {
		case v, ok := <-in:
			if !ok {
				in = nil
			} else {
				queue = append(queue, v)
			}
		case to <- first:
			queue = queue[1:]
		}
	}
	close(out)
	<-done
	select {
	case <-in:
		fmt.Println("received from nil")
	default:
		fmt.Println("nil is never ready")
	}
}
