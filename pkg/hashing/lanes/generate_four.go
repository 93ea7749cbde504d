//go:build ignore

package main

import "fmt"

// four writes the block function for four streams: the unit that does their rounds always has one that it can begin. Their
// states take eight of the sixteen registers that the SHA extensions know; the message schedules are kept in those that AVX-512
// has besides, and moved to and fro, which costs a core nothing. AVX-512 could make all four schedules in one register, but on
// Zen 5 its rotations take time from the unit that does the rounds; SHA256MSG1 and SHA256MSG2 do not.
//
// No more than 128 bits of any register are used: some CPUs are slow when instructions of SSE meet one of which more is in use.
func four() {
	fmt.Fprint(&out, "\n// func block4(state *[4]*[8]uint32, p *[4]*byte, blocks int)\n",
		"// block4 hashes blocks of each of p into its state. There must be one at least.\n",
		"TEXT ·block4(SB), NOSPLIT, $128-24\n")
	emit("MOVQ state+0(FP), BX")
	emit("MOVQ p+8(FP), DX")
	emit("MOVQ blocks+16(FP), %s", blocks)
	emit("LEAQ k<>(SB), %s", consts)
	emit("MOVOU swap<>(SB), %s", swap)
	var all []lane
	for i, address := range []string{"R8", "R9", "R10", "R11"} {
		l := lane{state: "DI", data: address, abef: x(2*i + 1), cdgh: x(2*i + 2), frame: 32 * i}
		for n := range l.w {
			l.w[n] = x(16 + 4*i + n)
		}
		emit("MOVQ %d(DX), %s", 8*i, l.data)
		emit("MOVQ %d(BX), %s", 8*i, l.state)
		l.load()
		all = append(all, l)
	}
	emit("XORQ SI, SI") // offset of the block
	out.WriteString("\nnext:\n")
	for _, l := range all {
		emit("MOVOU %s, %d(SP)", l.abef, l.frame)
		emit("MOVOU %s, %d(SP)", l.cdgh, l.frame+16)
		for n, w := range l.w {
			emit("VMOVDQU32 %d(%s)(SI*1), %s", 16*n, l.data, w)
			emit("VPSHUFB %s, %s, %s", swap, w, w)
		}
	}
	for g := range 16 {
		fmt.Fprintf(&out, "\t// rounds %d to %d\n", 4*g, 4*g+3)
		for _, l := range all {
			now, next, before := l.w[g%4], l.w[(g+1)%4], l.w[(g+3)%4]
			emit("VPADDD %d(%s), %s, %s", 16*g, consts, now, words)
			emit("SHA256RNDS2 %s, %s, %s", words, l.abef, l.cdgh)
			emit("PSHUFD $0x0e, %s, %s", words, words)
			emit("SHA256RNDS2 %s, %s, %s", words, l.cdgh, l.abef)
			if g >= 12 {
				continue
			}
			// The four words sixteen after now (FIPS 180-4, §6.2.2, step 1).
			emit("VMOVDQA32 %s, %s", now, word)
			emit("VMOVDQA32 %s, %s", next, other)
			emit("SHA256MSG1 %s, %s", other, word)
			emit("VPALIGNR $4, %s, %s, %s", l.w[(g+2)%4], before, other)
			emit("VPADDD %s, %s, %s", other, word, word)
			emit("VMOVDQA32 %s, %s", before, other)
			emit("SHA256MSG2 %s, %s", other, word)
			emit("VMOVDQA32 %s, %s", word, now)
		}
	}
	for _, l := range all {
		emit("VPADDD %d(SP), %s, %s", l.frame, l.abef, l.abef)
		emit("VPADDD %d(SP), %s, %s", l.frame+16, l.cdgh, l.cdgh)
	}
	emit("ADDQ $64, SI")
	emit("DECQ %s", blocks)
	emit("JNZ next")
	for i, l := range all {
		emit("MOVQ %d(BX), %s", 8*i, l.state)
		l.store()
	}
	emit("RET")
}

// What four needs for a moment.
const word, other = "X9", "X10"

func x(n int) string { return fmt.Sprint("X", n) }
