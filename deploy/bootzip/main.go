// Bootzip makes the archive of a Lambda function on the runtime provided.al2023: it reads the program on standard input
// and writes a zip with it as "bootstrap" to standard output. The same program always gives the same bytes, so that a
// deployment sees a change only where there is one.
package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

func main() {
	if err := pack(os.Stdout, os.Stdin); err != nil {
		log.Fatal(err)
	}
}

// pack writes the archive. An empty program is an error: the build before this one went wrong.
func pack(out io.Writer, program io.Reader) error {
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755) // Lambda runs it as another user than the one who made it
	archive := zip.NewWriter(out)
	file, err := archive.CreateHeader(header)
	if err != nil {
		return fmt.Errorf("begin archive: %w", err)
	}
	n, err := io.Copy(file, program)
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if n == 0 {
		return errors.New("the program is empty")
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end archive: %w", err)
	}
	return nil
}
