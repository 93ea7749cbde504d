package lineage_test

import (
	"fmt"

	"github.com/hallmark-project/hallmark/pkg/lineage"
)

func Example() {
	artifact := func(name string) lineage.Node { return lineage.Node{Class: "artifact", Digest: "sha256:" + name} }
	var b lineage.Builder
	for _, e := range []lineage.Edge{
		{Made: artifact("chat"), From: artifact("base"), Role: "base-model"},
		{Made: artifact("chat"), From: artifact("talks"), Role: "dataset.train"},
		{Made: artifact("chat-int8"), From: artifact("chat"), Role: "base-model"},
	} {
		if err := b.Add(e); err != nil {
			fmt.Println(err)
			return
		}
	}
	reach, err := b.Graph().Descendants(artifact("talks"), lineage.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range reach.Len() {
		fmt.Print(reach.Start())
		for _, step := range reach.Path(i) {
			fmt.Printf(" → %s: %s", step.Role, step.Node)
		}
		fmt.Println()
	}
	// Output:
	// artifact sha256:talks → dataset.train: artifact sha256:chat
	// artifact sha256:talks → dataset.train: artifact sha256:chat → base-model: artifact sha256:chat-int8
}
