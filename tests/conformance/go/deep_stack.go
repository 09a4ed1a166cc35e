// A stack so deep that its middle is left out.
package main

func deeper(n int) {
	if n == 0 {
		<-make(chan int)
	}
	deeper(n - 1)
}

func main() {
	deeper(150)
}
