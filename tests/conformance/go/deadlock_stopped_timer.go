// A timer that is stopped will wake nobody.
package main

import "time"

func wait(t *time.Timer) {
	<-t.C
}

func main() {
	t := time.NewTimer(time.Hour)
	t.Stop()
	wait(t)
}
