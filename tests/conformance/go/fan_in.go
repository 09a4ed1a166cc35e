// Three producers into one channel; each one's values stay in its order.
package main

import "fmt"

func produce(name string, out chan<- string) {
	for i := range 4 {
		out <- fmt.Sprint(name, i)
	}
	close(out)
}

func forward(in <-chan string, out chan<- string, done chan<- bool) {
	for v := range in {
		out <- v
	}
	done <- true
}

func merge(ins []chan string) <-chan string {
	out, done := make(chan string), make(chan bool)
	for _, in := range ins {
		go forward(in, out, done)
	}
	go func() {
		for range ins {
			<-done
		}
		close(out)
	}()
	return out
}

func main() {
	var ins []chan string
	for _, name := range []string{"a", "b", "c"} {
		in := make(chan string)
		go produce(name, in)
		ins = append(ins, in)
	}
	seen := map[byte]string{}
	for v := range merge(ins) {
		seen[v[0]] += v[1:]
	}
	for _, name := range "abc" {
		fmt.Printf("%c %s\n", name, seen[byte(name)])
	}
}
