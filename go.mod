module github.com/lambdabiz/lambdabiz

go 1.26.0

require (
	github.com/gofrs/flock v0.13.1
	github.com/ncruces/go-sqlite3 v0.36.0
)

require (
	github.com/ncruces/go-sqlite3-wasm/v6 v6.4.35401 // indirect
	github.com/ncruces/julianday v1.0.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

require pgregory.net/rapid v1.3.0
