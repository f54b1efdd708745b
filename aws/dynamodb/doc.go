// Package dynamodb keeps a copy of the state of orchestrations in an Amazon DynamoDB table: the
// [lambdabiz.Store] beside Amazon SWF.
//
// One table holds everything; the default name is LambdaBizState, the original's was LambdaBiz. Its items have the
// orchestration id as partition key pk, and as sort key sk:
//
//	RUN          the latest run: v, run, status, name, info, home, saved, in, out, progress, messages
//	OP#<path>    an operation, put when it changes: v, run, n (its number), body, in, out, details
//	IN#<number>  an unconsumed event of a run that has more of them than fit into RUN: v, run, body, p
//	EV#<key>     an event kept for a start to come: n (the order), name, key, p, arrived, until
//	EVN          the number of the last kept event
//	MONTH#<m>    under the id "#months": a month in which runs began that have ended
//
// Values are text (times in RFC 3339, JSON for what nobody searches), numbers, and bytes for payloads. A
// path or key of more than 900 bytes is cut and gets its SHA-256. A value with all that belongs to its item
// may have 350 KB (DynamoDB's limit is 400 KB).
//
// # Why it never goes backwards
//
// Attribute v is the version as text that sorts: the start of the run, then the number of the last event.
// Each write says "no item, or an older v". A condition that fails means that what is stored is as new,
// and is success; so is that of a write that was applied and repeated because its answer was lost. A Put
// writes operations in parallel, then the run, with plain conditional writes: there are no transactions,
// hence no TransactionConflict. Operations carry their run's id; those of another run are not seen.
//
// Get and Kept read consistently: the run first, then its operations, so that no run says more than its
// operations. List reads the index, which follows the table within about a second.
//
// # The index
//
// The sparse index byStatus has RUN items only. Its partition key g1pk is "<status>#<shard>" for open
// runs and "<status>#<month>#<shard>" for those that have ended, its sort key g1sk is the time of the start
// with the id. The month is that of the start, since lists are sorted and bounded by the start: a list by
// status and time reads the months of that time and no others, and one from the newest on reads as
// many months as it needs. There are 4 shards: an index partition takes 1,000 writes a second, and one
// account of SWF makes 200 decisions a second. What the index does not answer (name, prefix, tags, blocked,
// paused) is looked at while reading. A page reads 5,000 runs at most, or 24 months, and may then be short.
//
// # How long things stay
//
// DynamoDB removes an item some time after its attribute ttl, in seconds since 1970, which is written with
// the item and never for its own sake. A run that has ended stays for Config.Retention after its end; an open
// one has no ttl. An operation stays for a year and Config.Retention after it was written, since a run may
// last for a year: it never goes before its run. A kept event stays until KeptEvent.Until, and is not seen after
// it, removed or not.
//
// # Imports
//
// The package may import the root package, internal/awscall, the AWS SDK for Go and the standard library.
package dynamodb
