// A panic a few calls deep, with a value of several lines.
package main

func inner() {
	panic("ValueError: first line\nsecond line\n\tthird line")
}

func middle() {
	inner()
}

func outer() {
	middle()
}

func main() {
	go outer()
	select {}
}
