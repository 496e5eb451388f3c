# bash completion of midstream: its options, then the command's own completion.
_midstream() {
    local cur=${COMP_WORDS[COMP_CWORD]} option='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        option=
        case ${COMP_WORDS[i]} in
        --config | --log | --reach | --tls)
            # Its value is the next word. Where = parts words, as it does by default, that is a word as well.
            option=${COMP_WORDS[i]}
            [[ ${COMP_WORDS[i + 1]} != '=' ]] || ((i++))
            ((i++))
            ;;
        --)
            ((i++))
            break
            ;;
        -*) ;;
        *) break ;;
        esac
    done
    if ((i > COMP_CWORD)); then
        [[ $cur != '=' ]] || cur=
        case $option in
        --log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug trace' -- "$cur") ;;
        --reach) mapfile -t COMPREPLY < <(compgen -W 'auto all off' -- "$cur") ;;
        --tls) mapfile -t COMPREPLY < <(compgen -W 'hook ca' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        esac
    elif ((i == COMP_CWORD)) && [[ $cur == -* && ${COMP_WORDS[i - 1]} != -- ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--config --log --strict --aggregate --reach=auto --reach=all --reach=off --tls=hook --tls=ca --version --help --' -- "$cur")
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$i"
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$i"
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    fi
} && complete -o filenames -F _midstream midstream
