// Nothing but a main that waits for nothing.
package main

func main() {
	select {}
}
