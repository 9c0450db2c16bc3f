module golden-go

go 1.24

require (
	github.com/klauspost/compress v1.17.11
	github.com/klauspost/pgzip v1.2.6
	github.com/pierrec/lz4 v2.6.1+incompatible
)

require github.com/frankban/quicktest v1.14.6 // indirect
