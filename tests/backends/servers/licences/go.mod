module auditrail.test/licences

go 1.24
