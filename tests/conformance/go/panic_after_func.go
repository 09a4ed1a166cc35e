// A function that a timer started fails.
package main

import "time"

func alarm() {
	panic("ValueError: the alarm is broken")
}

func main() {
	time.AfterFunc(time.Millisecond, alarm)
	select {}
}
