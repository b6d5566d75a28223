// A note.
const answer = 40 + 2;
console.log(answer);
