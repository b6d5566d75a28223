[ "$1" = --version ] && echo 1 && exit
printf "<p>%s</p>" "$(tr a-z A-Z)"
