// A panic out of the handling of a panic out of the handling of a panic.
package main

func fail() {
	defer func() {
		recover()
		panic("KeyError: third")
	}()
	defer func() {
		recover()
		panic("RuntimeError: second\nwith a second line")
	}()
	panic("ValueError: first")
}

func main() {
	go fail()
	select {}
}
