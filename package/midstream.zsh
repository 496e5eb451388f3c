#compdef midstream
# zsh completion of midstream: its options, then the command's own completion.
_arguments -S \
    '--config=[the configuration]:file:_files' \
    '--log=[what is logged]:level:(off error warn info debug trace)' \
    '--reach=[have connections carried by a supervisor]:where:(auto all off)' \
    '--tls=[end TLS that cannot be followed otherwise]:how:(hook ca)' \
    '--strict[refuse to start what cannot be reached]' \
    '--aggregate[let all networks feed each download]' \
    '(- *)--version[print the versions]' \
    '(- *)'{-h,--help}'[print help]' \
    '(-):command:_command_names -e' \
    '*::arguments:_normal'
