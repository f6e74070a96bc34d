module fake

go 1.26.0
