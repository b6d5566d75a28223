// Says what was clicked.
function onClick(event) {
    const target = event.target;
    console.log("clicked " + target.id);
}
document.addEventListener("click", onClick);
var shared = { answer: 6 * 7 };
//# sourceMappingURL=gone.js.map
