function   vendored ( ) { return 1 }
//# sourceMappingURL=vendor.js.map
