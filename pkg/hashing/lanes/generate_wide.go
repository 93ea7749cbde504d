//go:build ignore

package main

import "github.com/hallmark-project/hallmark/pkg/hashing/internal/asm"

// wide writes the block function for sixteen streams by AVX-512, the same steps in each of sixteen lanes: no lane waits for
// itself more than a register's result takes, and each instruction does sixteen times the work.
func wide(c *asm.Code) {
	c.Line("\n// func block16(state *[8][16]uint32, p *[16]*byte, blocks int)")
	c.Line("// block16 hashes blocks of each of p into its column of state. There must be one at least.")
	c.Line("TEXT ·block16(SB), NOSPLIT, $0-24")
	c.Emit("MOVQ state+0(FP), DI")
	c.Emit("MOVQ p+8(FP), SI")
	c.Emit("MOVQ blocks+16(FP), CX")
	c.Emit("LEAQ k<>(SB), AX")
	c.Emit("VBROADCASTI32X4 swap<>(SB), Z31")
	c.Emit("XORQ DX, DX") // offset of the block
	s := [8]string{"Z0", "Z1", "Z2", "Z3", "Z4", "Z5", "Z6", "Z7"}
	for i, r := range s {
		c.Emit("VMOVDQU32 %d(DI), %s", 64*i, r)
	}
	c.Line("\nnext:")
	rows := asm.Zs(8)
	for i, r := range rows {
		c.Emit("MOVQ %d(SI), BX", 8*i)
		c.Emit("VMOVDQU32 (BX)(DX*1), %s", r)
		c.Emit("PREFETCHT0 1024(BX)(DX*1)")
		c.Emit("VPSHUFB Z31, %s, %s", r, r)
	}
	w, _ := c.Transpose(rows, "Z24")
	for i := range 64 {
		c.Line("\t// round %d", i)
		round(c, i, s, w[i%16])
		if i < 48 {
			schedule(c, w[i%16], w[(i+1)%16], w[(i+9)%16], w[(i+14)%16])
		}
		s = [8]string{s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6]}
	}
	for i, r := range s {
		c.Emit("VPADDD %d(DI), %s, %s", 64*i, r, r)
		c.Emit("VMOVDQU32 %s, %d(DI)", r, 64*i)
	}
	c.Emit("ADDQ $64, DX")
	c.Emit("DECQ CX")
	c.Emit("JNZ next")
	c.Emit("VZEROUPPER")
	c.Emit("RET")
}

// The registers that a round and a step of the schedule need for a moment. Which of Z8 to Z24 is free after Transpose does not
// matter: nothing else takes it.
const (
	t0, t1, t2 = "Z25", "Z26", "Z27"
	t3, t4     = "Z28", "Z29"
)

// round writes a round (FIPS 180-4, §6.2.2, step 3). s is a to h; the new a is left in h, and the new e in d.
func round(c *asm.Code, i int, s [8]string, w string) {
	a, b, cc, d, e, f, g, h := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	c.Emit("VPADDD.BCST %d(AX), %s, %s", 4*i, w, t0)
	c.Emit("VPADDD %s, %s, %s", t0, h, h)
	c.Emit("VMOVDQA32 %s, %s", e, t4)
	c.Emit("VPTERNLOGD $0xca, %s, %s, %s", g, f, t4) // Ch
	sigma(c, "VPRORD", e, t1, 6, 11, 25)
	c.Emit("VPADDD %s, %s, %s", t4, h, h)
	c.Emit("VPADDD %s, %s, %s", t1, h, h) // T1
	c.Emit("VPADDD %s, %s, %s", h, d, d)
	c.Emit("VMOVDQA32 %s, %s", a, t4)
	c.Emit("VPTERNLOGD $0xe8, %s, %s, %s", cc, b, t4) // Maj
	sigma(c, "VPRORD", a, t1, 2, 13, 22)
	c.Emit("VPADDD %s, %s, %s", t4, h, h)
	c.Emit("VPADDD %s, %s, %s", t1, h, h)
}

// schedule writes the word sixteen after w0 over it (FIPS 180-4, §6.2.2, step 1).
func schedule(c *asm.Code, w0, w1, w9, w14 string) {
	sigma(c, "VPSRLD", w1, t1, 7, 18, 3)
	c.Emit("VPADDD %s, %s, %s", w9, w0, w0)
	c.Emit("VPADDD %s, %s, %s", t1, w0, w0)
	sigma(c, "VPSRLD", w14, t1, 17, 19, 10)
	c.Emit("VPADDD %s, %s, %s", t1, w0, w0)
}

// sigma writes one of the functions Σ and σ: two rotations and a third one or a shift, of which each bit is the sum.
func sigma(c *asm.Code, third, from, to string, x, y, z int) {
	c.Emit("VPRORD $%d, %s, %s", x, from, to)
	c.Emit("VPRORD $%d, %s, %s", y, from, t2)
	c.Emit("%s $%d, %s, %s", third, z, from, t3)
	c.Emit("VPTERNLOGD $0x96, %s, %s, %s", t3, t2, to)
}
