// Package asm writes assembly in which sixteen lanes are computed side by side: the sixteen 32-bit words of an AVX-512
// register are the same word of sixteen messages. The generators of packages lanes and blake3 are made with it; nothing
// that runs imports it.
package asm

import (
	"bytes"
	"fmt"
)

// Lanes is how many messages there are side by side.
const Lanes = 16

// Code is assembly under way. The zero Code is empty.
type Code struct{ bytes.Buffer }

// Emit adds one instruction.
func (c *Code) Emit(format string, args ...any) { fmt.Fprintf(c, "\t"+format+"\n", args...) }

// Line adds one line as it is: a label, a comment, a directive.
func (c *Code) Line(format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

// Z names a register of sixteen words.
func Z(n int) string { return fmt.Sprint("Z", n) }

// Zs names the registers from first on.
func Zs(first int) (all [Lanes]string) {
	for i := range all {
		all[i] = Z(first + i)
	}
	return all
}

// Transpose takes sixteen words of each of sixteen messages, one message a register, and returns them with one word of all
// messages a register. It needs a register that is free, and returns the one that is free afterwards.
func (c *Code) Transpose(rows [Lanes]string, spare string) (words [Lanes]string, free string) {
	// Two instructions make two new registers of two old ones: the first result goes to the spare register, the second
	// over one of the sources, and the other source is the spare register of the next pair.
	pair := func(first, second, a, b string) (string, string) {
		c.Emit("%s %s, %s, %s", first, b, a, spare)
		c.Emit("%s %s, %s, %s", second, b, a, b)
		low := spare
		spare = a
		return low, b
	}
	// Within the four quarters of the registers: of four messages each, quarter q has the words 4q to 4q+3.
	for m := 0; m < Lanes; m += 4 {
		r := rows[m : m+4]
		r[0], r[1] = pair("VPUNPCKLDQ", "VPUNPCKHDQ", r[0], r[1])
		r[2], r[3] = pair("VPUNPCKLDQ", "VPUNPCKHDQ", r[2], r[3])
		r[0], r[2] = pair("VPUNPCKLQDQ", "VPUNPCKHQDQ", r[0], r[2])
		r[1], r[3] = pair("VPUNPCKLQDQ", "VPUNPCKHQDQ", r[1], r[3])
		r[1], r[2] = r[2], r[1]
	}
	// Then the quarters: rows[4m+w] has, in quarter q, word 4q+w of the messages 4m to 4m+3.
	for w := range 4 {
		a, b := rows[w], rows[4+w]
		a, b = pair("VSHUFI32X4 $0x44,", "VSHUFI32X4 $0xee,", a, b)
		x, y := rows[8+w], rows[12+w]
		x, y = pair("VSHUFI32X4 $0x44,", "VSHUFI32X4 $0xee,", x, y)
		words[w], words[4+w] = pair("VSHUFI32X4 $0x88,", "VSHUFI32X4 $0xdd,", a, x)
		words[8+w], words[12+w] = pair("VSHUFI32X4 $0x88,", "VSHUFI32X4 $0xdd,", b, y)
	}
	return words, spare
}
