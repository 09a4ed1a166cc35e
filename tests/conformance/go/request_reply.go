// A goroutine owns the state; requests carry the channel on which the answer comes.
package main

import "fmt"

type request struct {
	key   string
	add   int
	reply chan int
}

func owner(requests <-chan request) {
	state := map[string]int{}
	for r := range requests {
		state[r.key] += r.add
		r.reply <- state[r.key]
	}
}

func main() {
	requests := make(chan request)
	go owner(requests)
	done := make(chan bool)
	for client := range 5 {
		go func() {
			reply := make(chan int)
			for i := range 4 {
				requests <- request{"total", client*10 + i, reply}
				<-reply
				requests <- request{fmt.Sprint("client ", client), 1, reply}
				<-reply
			}
			done <- true
		}()
	}
	for range 5 {
		<-done
	}
	reply := make(chan int)
	for _, key := range []string{"total", "client 0", "client 4", "nobody"} {
		requests <- request{key, 0, reply}
		fmt.Println(key, <-reply)
	}
}
