// Command rclone is rclone with only the server of the S3 protocol over a local directory: the full program also links
// the clients of forty stores.
package main

import (
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/serve/s3"
)

func main() { cmd.Main() }
