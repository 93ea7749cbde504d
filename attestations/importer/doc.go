// Package importer reads the reports that other tools write about a model, so that what they found can be stated: JUnit
// XML, SARIF, lm-evaluation-harness JSON, garak JSONL, OSV-scanner and Grype JSON, and CycloneDX. Start with [Read],
// which recognises a report by its content, never by its name.
//
// A report is not evidence: nobody signed it, and whoever imports it vouches for it. So nothing is made better than it
// was: no tests are no pass, a run that was cut short is no result, a measurement without a threshold passes nothing, and
// a report that contradicts itself is refused. Members that a format does not have here are ignored, as all of them grow;
// members that are there twice are refused.
package importer
