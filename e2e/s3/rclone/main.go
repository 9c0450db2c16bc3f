// Command rclone is rclone with only the servers of the S3 and WebDAV protocols over a local directory: the full program
// also links the clients of forty stores.
package main

import (
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/serve/s3"
	_ "github.com/rclone/rclone/cmd/serve/webdav"
)

func main() { cmd.Main() }
